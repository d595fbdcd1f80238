"""A load tester for model servers: latency from the schedule, exact percentiles, verdicts with confidence intervals."""
