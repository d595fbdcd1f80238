"""Results for people: tables for the terminal, one HTML page for the browser."""
