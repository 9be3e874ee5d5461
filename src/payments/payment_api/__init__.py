"""payment-api: takes what merchants ask for, records it durably, has it carried out, and answers in Stripe's words."""
