"""The commands of the command line: what each reads, does and prints."""
