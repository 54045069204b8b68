"""What every door calls: starting, deciding, cancelling, listing. The only code that talks to workflows."""
