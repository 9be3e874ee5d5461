"""Aurora Serverless v2 PostgreSQL: a writer and readers in other zones."""

from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from lib.acknowledgements import acknowledge
from lib.environments import size_of
from lib.log_group import log_group
from lib.security_stack import SecurityStack
from lib.wiring import Key, Secret, first_made_by
from payments.runtime.topology import DATABASE_ENGINE_VERSION, DATABASE_NAME, DATABASE_PORT, DATABASE_USER, DatabaseSecretField, Names

_ENGINE = rds.DatabaseClusterEngine.aurora_postgres(version=rds.AuroraPostgresEngineVersion.of(DATABASE_ENGINE_VERSION, "17"))
_ROTATION_DAYS = 30
_PARAMETERS = {
    "rds.force_ssl": "1",
    # Else whoever gets into a service could give its login a password of his own, and come back.
    "rds.restrict_password_commands": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseStackProps:
    """What the database depends on."""

    environment_suffix: str
    vpc: ec2.IVpc
    database_security_group: ec2.ISecurityGroup
    kms_key: Key
    db_secret: Secret


class DatabaseStack(cdk.NestedStack):
    """Exposes `cluster`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        props: DatabaseStackProps,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        size = size_of(props.environment_suffix)
        key = kms.Key.from_key_arn(self, "Key", props.kms_key.key_arn)
        # Imported by ARN and by id: what a construct of the other stack would add to itself would make the two depend on each other.
        secret = secretsmanager.Secret.from_secret_complete_arn(self, "Secret", props.db_secret.secret_arn)
        group = ec2.SecurityGroup.from_security_group_id(
            self, "SecurityGroup", props.database_security_group.security_group_id, mutable=False
        )
        name = Names(props.environment_suffix).database_cluster
        exported = log_group(self, "Logs", name=f"/aws/rds/cluster/{name}/postgresql", key=key, size=size, outlives=True)
        self.cluster = rds.DatabaseCluster(
            self,
            "Cluster",
            cluster_identifier=name,
            engine=_ENGINE,
            credentials=rds.Credentials.from_password(DATABASE_USER, secret.secret_value_from_json(DatabaseSecretField.PASSWORD)),
            default_database_name=DATABASE_NAME,
            port=DATABASE_PORT,
            vpc=props.vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
            security_groups=[group],
            writer=rds.ClusterInstance.serverless_v2("Writer"),
            readers=[
                rds.ClusterInstance.serverless_v2(
                    f"Reader{number}",
                    # The first reader follows the writer's size, so that it can take over at once.
                    scale_with_writer=number == 1,
                )
                for number in range(1, size.database_readers + 1)
            ],
            serverless_v2_min_capacity=size.database_acu_min,
            serverless_v2_max_capacity=size.database_acu_max,
            database_insights_mode=rds.DatabaseInsightsMode.STANDARD,
            enable_performance_insights=True,  # as RDS goes on calling what Database Insights collects
            performance_insight_encryption_key=key,
            storage_encrypted=True,
            storage_encryption_key=key,
            iam_authentication=True,
            # No statements in the log: with them come their parameters, which are customers' data. Database Insights shows slow ones without.
            parameter_group=rds.ParameterGroup(self, "Parameters", engine=_ENGINE, parameters=_PARAMETERS),
            backup=rds.BackupProps(retention=cdk.Duration.days(size.backup_days), preferred_window="03:00-04:00"),
            cloudwatch_logs_exports=["postgresql"],
            copy_tags_to_snapshot=True,
            deletion_protection=size.protected,
            removal_policy=cdk.RemovalPolicy.SNAPSHOT if size.protected else cdk.RemovalPolicy.DESTROY,
        )
        # Or RDS makes it, without a key, and keeps it for ever.
        self.cluster.node.add_dependency(exported)
        if not size.protected:
            acknowledge(self.cluster, {"AwsSolutions::AwsSolutions-RDS10": "This environment's data is made up, and goes with its stack."})
        attachment = secretsmanager.CfnSecretTargetAttachment(
            self,
            "SecretAttachment",
            secret_id=props.db_secret.secret_arn,
            target_id=self.cluster.cluster_identifier,
            target_type="AWS::RDS::DBCluster",
        )
        self._attach_logins(props)
        self._rotate(props, attachment)

    def _attach_logins(self, props: DatabaseStackProps) -> None:
        """Write the database's address beside each service's own password: a service knows no secret but that one."""
        security = first_made_by(SecurityStack, props.db_secret, props.database_security_group)
        for service, secret in security.database_secrets.items() if security else ():
            secretsmanager.CfnSecretTargetAttachment(
                self,
                f"{service}SecretAttachment",
                secret_id=secret.secret_arn,
                target_id=self.cluster.cluster_identifier,
                target_type="AWS::RDS::DBCluster",
            )

    def _rotate(self, props: DatabaseStackProps, attachment: secretsmanager.CfnSecretTargetAttachment) -> None:
        self.add_transform("AWS::SecretsManager-2024-09-16")
        isolated = props.vpc.select_subnets(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)
        schedule = secretsmanager.CfnRotationSchedule(
            self,
            "Rotation",
            secret_id=props.db_secret.secret_arn,
            hosted_rotation_lambda=secretsmanager.CfnRotationSchedule.HostedRotationLambdaProperty(
                rotation_type="PostgreSQLSingleUser",
                kms_key_arn=props.kms_key.key_arn,
                vpc_security_group_ids=props.database_security_group.security_group_id,
                vpc_subnet_ids=cdk.Fn.join(",", isolated.subnet_ids),
            ),
            rotation_rules=secretsmanager.CfnRotationSchedule.RotationRulesProperty(automatically_after_days=_ROTATION_DAYS),
            rotate_immediately_on_update=False,
        )
        schedule.add_resource_dependency(attachment)
