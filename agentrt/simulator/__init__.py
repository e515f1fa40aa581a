"""The scheduler on virtual time, with a model of the engine. No I/O, no clock but its own."""
