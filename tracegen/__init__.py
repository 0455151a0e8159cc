"""Makes traces: the format, reader and writer, the guest kernel, capture of programs. Imports nothing else of ours."""
