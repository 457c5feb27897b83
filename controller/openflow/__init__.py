"""OpenFlow's vocabulary as values: fields, matches, actions, flows, and their encoding. Knows no cluster."""
