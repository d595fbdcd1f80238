"""Every setting: its type, its default, and how it is read from YAML and the environment."""
