"""What an experiment's file says, and the runs that follow from it: pure, nothing here touches a cluster."""
