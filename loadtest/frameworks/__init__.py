"""The same model in several frameworks, without any server: each in a process of its own, in turns."""
