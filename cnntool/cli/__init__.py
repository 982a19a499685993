"""The front door: commands, options, tables, JSON, progress, exit codes."""
