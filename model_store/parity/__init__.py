"""The parity gate: every artefact of a model must answer as the model does in its own framework."""
