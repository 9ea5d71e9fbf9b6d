"""The night queue's ledger, its rules and its worker; what a job does is given to it from above."""
