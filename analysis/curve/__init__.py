"""Miss curves: the miss ratio of every size of a TLB, a cache or a memory, from one pass over a trace."""
