"""What this machine can emulate honestly: found by trying, kept, and compared with what is asked for."""
