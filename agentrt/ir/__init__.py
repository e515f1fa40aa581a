"""Plain frozen data that all layers share: graphs, prompts, requests, events. No I/O, no clock."""
