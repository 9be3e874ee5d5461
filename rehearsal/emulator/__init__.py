"""An emulator of AWS that deploys Tap's stack: ministack, extended and mended.

`python -m rehearsal.emulator` serves AWS's APIs on `GATEWAY_PORT`. It runs in an environment of its own (`.venv/emulator`), or in a
container with the engine's socket. With an engine (`DOCKER_HOST`) tasks and databases are real containers; without one they are records,
and the whole control plane works still: that is what the tests use.

Environment variables: see `rehearsal.emulator.settings`.

Emulated here: CodeDeploy's blue/green deployments on ECS with hooks, alarms, canaries, rollbacks, and events for EventBridge; task sets and the service
scheduler behind them, Spot's notices included; load balancers that weigh, check health, listen with certificates, and speak TLS to targets; Application Auto
Scaling's records.

Mended in ministack: nested stacks (dynamic references, attributes on update, deletion policies, failures); EIP, NAT gateway, rules of
security groups, flow logs, WAF's associations, rotation schedules in CloudFormation; task definitions keep what they say, and containers
obey it; DB clusters are real PostgreSQL behind a verified certificate; ECR tells of images that it lacks, and tasks start by digest;
alarms on metric math.

Not emulated: EventBridge's events of KMS and Secrets Manager, IAM and key policies, security groups (nothing is refused), scaling by metrics, rotation of
secrets, rds.force_ssl, the math of alarms (they are set by hand), the ciphers of listeners, access logs, WAF. It proves wiring, not AWS.

The load balancer `tap-dev` is reached from outside as `http://localhost:<port>/_alb/tap-dev/<path>` on its production listener, and as
`/_alb/tap-dev:8443/<path>` on its test listener.
"""
