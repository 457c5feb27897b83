"""`kubinet trace --live`: a real packet beside its prediction."""
