"""A cluster made up from manifests alone: for questions that policies answer before anything runs."""
