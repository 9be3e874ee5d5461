"""Which calls a customer's own key may make: `Endpoint.of_customer`."""

from payments.wire.api import Call


def named_in_path(call: Call) -> bool:
    """Tell whether the customer whose key it is is the one of the path."""
    return call.path["id"] == call.principal.customer


def named_by_parameter(call: Call) -> bool:
    """Tell whether it is the one of the parameter `customer`."""
    return call.params.get("customer") == call.principal.customer


def handler_asks(_: Call) -> bool:
    """The handler sees to it."""
    return True
