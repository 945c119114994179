from aws_cdk import App, CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_apigatewayv2 as gateway
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct


class QuestionAnswering(Stack):
    def __init__(self, scope: Construct, name: str) -> None:
        super().__init__(scope, name)
        table = dynamodb.Table(
            self,
            "Records",
            partition_key=dynamodb.Attribute(name="primary_key", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            time_to_live_attribute="expires",
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=RemovalPolicy.DESTROY,
        )
        function = lambda_.DockerImageFunction(
            self,
            "Qa",
            code=lambda_.DockerImageCode.from_image_asset("function"),
            architecture=lambda_.Architecture.X86_64,
            memory_size=1769,
            timeout=Duration.seconds(30),
            environment={"RECORDS_TABLE": table.table_name},
            log_group=logs.LogGroup(
                self, "Logs", retention=logs.RetentionDays.ONE_MONTH, removal_policy=RemovalPolicy.DESTROY
            ),
        )
        function.add_to_role_policy(iam.PolicyStatement(actions=["dynamodb:PutItem"], resources=[table.table_arn]))
        alias = lambda_.Alias(self, "Live", alias_name="live", version=function.current_version)
        api = gateway.HttpApi(
            self,
            "Api",
            cors_preflight=gateway.CorsPreflightOptions(
                allow_origins=["https://example.com"],
                allow_methods=[
                    gateway.CorsHttpMethod.GET,
                    gateway.CorsHttpMethod.POST,
                    gateway.CorsHttpMethod.OPTIONS,
                ],
                allow_headers=["content-type"],
            ),
        )
        api.add_routes(
            path="/qa",
            methods=[gateway.HttpMethod.POST],
            integration=integrations.HttpLambdaIntegration("Post", alias),
        )
        self.alarm("Errors", function.metric_errors(period=Duration.minutes(1)), 1, 1)
        self.alarm("Throttles", function.metric_throttles(period=Duration.minutes(1)), 1, 1)
        latency = function.metric_duration(period=Duration.minutes(1), statistic="p99")
        self.alarm("Latency", latency, 2000, 5)
        CfnOutput(self, "Url", value=f"{api.api_endpoint}/qa")

    def alarm(self, name: str, metric: cloudwatch.Metric, threshold: int, periods: int) -> None:
        cloudwatch.Alarm(
            self,
            name,
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )


app = App()
QuestionAnswering(app, "question-answering")
app.synth()
