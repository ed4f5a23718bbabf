"""What the commands print: tables for a person, or one JSON object."""
