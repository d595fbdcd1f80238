"""The highest load that meets an SLO, and the knee of a sweep."""
