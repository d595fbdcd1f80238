"""What load is put on, and when each request of it is due."""
