"""What runs leave behind: the only package with SQL."""
