"""What the audit finds in networks that nobody here wrote, beside what it must find."""
