"""The oracle: measures, hard inputs, certificates, verdicts and reports. It never trusts an implementation."""
