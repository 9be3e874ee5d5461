"""Where Stripe's command line opens its web socket: among the paths that lead to notification-service, so that no route of a front door need be added."""

SOCKET_PATH = "/v1/events/stripecli"
