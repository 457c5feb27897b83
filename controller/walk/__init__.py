"""What the installed flows do with a packet: Open vSwitch's own answers (`ofproto/trace`), followed from hop to hop.

The second of the three proofs (docs/trace.md): it reads bridges, not the compiler; nothing here makes a flow.
"""
