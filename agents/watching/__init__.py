"""What experiments watch inside the sandbox: each module looks at one thing, cheaply, as often as it is asked to."""
