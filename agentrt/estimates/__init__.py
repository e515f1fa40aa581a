"""Online statistics: how long tools take, how much is left, what a prefill costs. No I/O, no clock."""
