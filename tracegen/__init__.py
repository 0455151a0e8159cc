"""Makes traces: the format, its reader and writer, the guest kernel, capture of real programs. Imports nothing of ours."""
