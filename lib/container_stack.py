"""The repositories of the services' images."""

from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_kms as kms
from constructs import Construct

from lib.environments import size_of
from lib.wiring import Key
from payments.runtime.topology import RELEASED_IMAGE_PREFIX, Names, Service

_IMAGES_KEPT = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerStackProps:
    """What the repositories depend on."""

    environment_suffix: str
    kms_key: Key | None = None
    """Else images are encrypted by AWS's own key for repositories."""


class ContainerStack(cdk.NestedStack):
    """Exposes `payment_api_repo`, `transaction_processor_repo`, `notification_service_repo`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        props: ContainerStackProps,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self._props = props
        self._key = kms.Key.from_key_arn(self, "Key", props.kms_key.key_arn) if props.kms_key else None
        self.payment_api_repo = self._repository("PaymentApi", Service.PAYMENT_API)
        self.transaction_processor_repo = self._repository("TransactionProcessor", Service.TRANSACTION_PROCESSOR)
        self.notification_service_repo = self._repository("NotificationService", Service.NOTIFICATION_SERVICE)

    def _repository(self, construct_id: str, service: Service) -> ecr.Repository:
        protected = size_of(self._props.environment_suffix).protected
        return ecr.Repository(
            self,
            construct_id,
            repository_name=Names(self._props.environment_suffix).repository(service),
            encryption=ecr.RepositoryEncryption.KMS,
            encryption_key=self._key,
            image_scan_on_push=True,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            lifecycle_rules=[
                # What a rule matches no later rule takes away: a service that isn't released for a while keeps the image that it runs.
                ecr.LifecycleRule(
                    description=f"Keep {_IMAGES_KEPT} images that were in service",
                    rule_priority=1,
                    tag_status=ecr.TagStatus.TAGGED,
                    tag_prefix_list=[RELEASED_IMAGE_PREFIX],
                    max_image_count=_IMAGES_KEPT,
                ),
                ecr.LifecycleRule(description=f"Keep {_IMAGES_KEPT} images", rule_priority=2, max_image_count=_IMAGES_KEPT),
            ],
            removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if protected else cdk.RemovalPolicy.DESTROY,
            empty_on_delete=not protected,
        )
