"""Stripe's shape of an account: what a merchant is, as far as Tap knows."""

from payments.domain.account import Account
from payments.domain.payout_schedule import PayoutSchedule
from payments.wire.render_people import Rendered


def render_account(account: Account) -> Rendered:
    """Render the account of an API key. It takes card payments, asks for nothing, and is nobody else's."""
    return {
        "id": account.id,
        "object": "account",
        "business_profile": {
            "annual_revenue": None,
            "estimated_worker_count": None,
            "mcc": None,
            "minority_owned_business_designation": None,
            "name": account.name,
            "product_description": None,
            "specified_commercial_transactions_act_url": None,
            "support_address": None,
            "support_email": None,
            "support_phone": None,
            "support_url": None,
            "url": None,
        },
        "business_type": "company",
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "controller": {"type": "account"},
        "country": "US",
        "created": account.created,
        "default_currency": "usd",
        "details_submitted": True,
        "email": None,
        "future_requirements": _NOTHING_REQUIRED,
        "metadata": {},
        "payouts_enabled": True,
        "requirements": _NOTHING_REQUIRED,
        "settings": {
            "bacs_debit_payments": {"display_name": None, "service_user_number": None},
            "branding": {"icon": None, "logo": None, "primary_color": account.colour, "secondary_color": None},
            "card_payments": {
                "decline_on": {"avs_failure": False, "cvc_failure": False},
                "statement_descriptor_prefix": STATEMENT_DESCRIPTOR,
                "statement_descriptor_prefix_kana": None,
                "statement_descriptor_prefix_kanji": None,
            },
            "dashboard": {"display_name": account.name, "timezone": "Etc/UTC"},
            "invoices": {"default_account_tax_ids": None, "hosted_payment_method_save": None},
            "payments": {
                "statement_descriptor": STATEMENT_DESCRIPTOR,
                "statement_descriptor_kana": None,
                "statement_descriptor_kanji": None,
                "statement_descriptor_prefix_kana": None,
                "statement_descriptor_prefix_kanji": None,
            },
            "payouts": {
                "debit_negative_balances": True,
                "schedule": _schedule(account.payouts),
                "statement_descriptor": None,
            },
            "sepa_debit_payments": {},
        },
        "tos_acceptance": {"date": None, "ip": None, "user_agent": None},
        "type": "standard",
    }


def _schedule(payouts: PayoutSchedule) -> Rendered:
    schedule: Rendered = {"delay_days": payouts.delay_days, "interval": payouts.interval}
    if payouts.weekly_anchor is not None:
        schedule |= {"weekly_anchor": payouts.weekly_anchor, "weekly_payout_days": [payouts.weekly_anchor]}
    if payouts.monthly_anchor is not None:
        schedule |= {"monthly_anchor": payouts.monthly_anchor, "monthly_payout_days": [payouts.monthly_anchor]}
    return schedule


STATEMENT_DESCRIPTOR = "TAP"
"""What stands on cardholders' statements when a payment doesn't say it, and before what it adds."""
_NOTHING_REQUIRED: Rendered = {
    "alternatives": [],
    "current_deadline": None,
    "currently_due": [],
    "disabled_reason": None,
    "errors": [],
    "eventually_due": [],
    "past_due": [],
    "pending_verification": [],
}
