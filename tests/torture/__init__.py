"""What takes too long for every change: ``make torture`` runs it and writes what came of it into docs/trust.md."""
