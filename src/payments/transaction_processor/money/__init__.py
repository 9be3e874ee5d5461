"""What happens to money after a payment: disputes, and what is paid out."""
