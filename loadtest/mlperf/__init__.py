"""The same targets under MLPerf's own LoadGen (package ``mlcommons-loadgen``), as a cross-check of our numbers."""
