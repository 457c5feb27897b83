"""Network policies as flows: selections, rules as conjunctions, and what enters and leaves their tables. Pure."""
