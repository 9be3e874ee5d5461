"""Why Tap refuses what Stripe takes: for each parameter one reason, in a list that the page on the API shows and the tests hold against the code."""

import re

REASONS: dict[str, tuple[str, ...]] = {
    "There is one merchant behind a key, who pays nobody on: no connected accounts, fees of platforms, transfers, and charges for others": (
        "account",
        "application_fee.*",
        "attach_to_self",
        "connect",
        "customer_account",
        "destination",
        "flow_directions",
        r"(payment_intent_data\[|setup_intent_data\[)?(on_behalf_of|application_fee_amount|transfer_data)\]?",
        "person",
        "refund_application_fee",
        "reverse_transfer",
        "transfer_data",
    ),
    "Cards are the only payment method": (
        r"payment_method_options\[(?!card\])\w+\]",
        r"payment_method_data\[\w+\](?<!\[radar_options\])",
        r"amount_details\[line_items\]\[payment_method_options\]\[\w+\]",
        "acss_debit|affirm|afterpay_clearpay|alipay|alma|amazon_pay|au_becs_debit|bacs_debit|bancontact|billie|bizum|blik|boleto|cashapp|crypto",
        "customer_balance|eps|fpx|giropay|grabpay|ideal|interac_present|kakao_pay|klarna|konbini|kr_card|link|mb_way|mobilepay|multibanco",
        "naver_pay|nz_bank_account|oxxo|p24|pay_by_bank|payco|paynow|paypal|paypay|payto|pix|promptpay|revolut_pay|samsung_pay|satispay|scalapay",
        "sepa_debit|sequra|sofort|sunbit|swish|twint|upi|us_bank_account|wechat_pay|zip",
        "account_holder_name|account_holder_type|bank_account|custom|instructions_email|mandate|owner|single_use|validate",
        "payment_method_configuration|payout_method|wallet_options",
        "payment_method",
    ),
    "There are no invoices, subscriptions and prices that recur": (
        r"(default_price_data\[|line_items\[price_data\]\[)?recurring\]?",
        r"invoice_settings\[.*",
        r"payment_method_options\[card\]\[mandate_options\]",
        "invoice_creation|payment_method_collection|subscription|subscription_data",
    ),
    "Nothing is converted into another currency": (
        "adaptive_pricing",
        r"(default_price_data\[)?currency_options\]?",
        r"card\[currency\]",
    ),
    "Taxes are the merchant's to compute": (
        "automatic_tax",
        "hooks",
        r"line_items\[tax_rates\]",
        "tax",
        "tax_id_collection",
        "tax_id_data",
    ),
    "A price is an amount; it has no tiers, promotions or discounts": (
        "allow_promotion_codes",
        r"after_expiration\[recovery\]\[allow_promotion_codes\]",
        "discounts",
        "tiers|tiers_mode",
    ),
    "Stripe holds no balance of customers, so that nothing is paid into or refunded from one": (
        "cash_balance",
        "currency",
        "customer",
        "origin",
    ),
    "Evidence is words: there are no files, and an answer goes to the acquirer at once": (
        r"evidence\[(appeal|cancellation_policy|customer_communication|customer_signature|duplicate_charge_documentation|enhanced_evidence|receipt)\]",
        r"evidence\[(refund_policy|service_documentation|shipping_documentation|uncategorized_file)\]",
        "intended_submission_method",
        "documents",
    ),
    "A bank account is a number, a country and a currency; debit cards are no place to pay out to": (
        "account_type|address_city|address_country|address_line1|address_line2|address_state|address_zip|exp_month|exp_year|name",
        r"external_account\[(address_\w+|cvc|exp_month|exp_year|metadata|name|number|token)\]",
    ),
    "Checkout has the one page that checkout.md describes": (
        "branding_settings|collected_information|consent_collection|custom_fields|customer_update|integration_identifier|line_items|managed_payments",
        r"custom_text\[terms_of_service_acceptance\]|line_items\[adjustable_quantity\]",
        "name_collection|optional_items|origin_context|payment_intent_data|payment_method_data|payment_method_options|permissions",
        "redirect_on_completion|return_url|saved_payment_method_options|shipping_options",
    ),
    "Of the components that a customer's session can be for, there is the payment element": (
        r"components\[(active_entitlements|buy_button|customer_portal|customer_sheet|mobile_payment_element|pricing_table)\]",
    ),
    "A security code belongs to one confirmation, and is kept by no token": ("cvc_update", r"payment_method_options\[card\]\[cvc_token\]"),
    "Which network a card of several is charged by is `payment_method_options[card][network]`": (r"card\[networks\]",),
    "There are no instalment plans to choose": (r"payment_method_options\[card\]\[installments\]\[plan\]",),
    "How a stored card is used follows from `setup_future_usage` and `off_session`": (
        r"payment_method_options\[card\]\[(setup|stored)_credential_usage\]",
    ),
    "3-D Secure that somebody else carried out is passed on as the networks have in common": (
        r"payment_method_options\[card\]\[three_d_secure\]\[(network_options|requestor_challenge_indicator)\]",
    ),
    "What a browser tells of itself is kept with the payment, not with the card": (r"(payment_method_data\[)?radar_options\]?",),
    "The whole amount is confirmed": ("amount_to_confirm",),
    "The path names the charge": ("payment_intent",),
    "A sandbox has one clock, which isn't of customers": ("test_clock",),
    "Cards aren't issued, and nobody's identity is verified": ("issuing_card|nonce|pii|verification_session",),
}
"""Reason → patterns of parameters' whole names."""

ONLY_OF: dict[str, tuple[str, ...]] = {
    "currency": ("POST /v1/refunds", "POST /v1/charges/{id}/refunds"),
    "customer": (
        "POST /v1/refunds",
        "POST /v1/charges/{id}/refunds",
        "POST /v1/charges/{id}",
        "POST /v1/payment_methods",
        "POST /v1/tokens",
        "POST /v1/test_helpers/test_clocks",
    ),
    "payment_method": ("POST /v1/payment_methods",),
    "payment_intent": ("POST /v1/charges/{id}/refunds", "POST /v1/charges/{id}/refund"),
    "line_items": ("POST /v1/checkout/sessions/{id}", "POST /v1/payment_links/{id}"),
}
"""Names that say little by themselves: where they are refused. Anywhere else they want a reason of their own."""


NOT_THERE: dict[str, tuple[str, ...]] = {
    "There is one merchant behind a key: no connected accounts, and no settings of them by the API": (
        r"(POST|DELETE) /v1/accounts(/{})?",
        r"\w+ /v1/accounts/{}/(capabilities|persons|login_links|reject|unreject).*",
        r"POST /v1/account_(links|sessions)",
        r"\w+ /v1/balance_settings",
    ),
    "Stripe holds no balance of customers": (
        r"\w+ /v1/customers/{}/(balance_transactions|cash_balance|cash_balance_transactions|funding_instructions).*",
        "POST /v1/payment_intents/{}/apply_customer_balance",
    ),
    "Cards are the only payment method": (
        "POST /v1/customers/{}/sources/{}/verify",
        r"POST /v1/(payment|setup)_intents/{}/verify_microdeposits",
    ),
    "There are no subscriptions, discounts and entitlements, and taxes are the merchant's to compute": (
        "DELETE /v1/customers/{}/discount",
        r"\w+ /v1/products/{}/features.*",
        r"(POST|DELETE) /v1/customers/{}/tax_ids.*",
        "GET /v1/customers/{}/tax_ids/{}",
    ),
}
"""Why Tap hasn't got an operation of a resource that it has: reason → patterns of operations."""


def reasons_for(operation: str, name: str) -> list[str]:
    """Return the reasons for which an operation refuses a parameter: one, or one is missing or too many."""
    if operation not in ONLY_OF.get(name, (operation,)):
        return []
    return [reason for reason, patterns in REASONS.items() if any(re.fullmatch(pattern, name) for pattern in patterns)]
