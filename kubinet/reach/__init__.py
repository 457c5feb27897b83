"""Who reaches whom: truth tables, expectations and differences, from the policies' oracle. Pure."""
