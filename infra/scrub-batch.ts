import { Stack, Validations } from "aws-cdk-lib";
import { PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { batchRoleName } from "../adapters/aws/physical-names.ts";
import type { Configuration } from "./configuration.ts";
import { scheduleFunction } from "./function-schedule.ts";
import { asNagPrints, type MirrorFunction } from "./mirror-function.ts";

/** How often a job is looked at, which takes hours; and whether it is time for the next. */
const LOOKS = "rate(1 hour)";

/** What S3 runs checksum jobs as; known before it is made, since it is in the function's environment. */
export function batchRoleArn(stack: Stack, name: string): string {
  const resourceName = batchRoleName(name, stack.region);
  return stack.formatArn({ service: "iam", region: "", resource: "role", resourceName });
}

/**
 * Has the scrub function order checksum jobs of S3 Batch Operations: a role for S3, which reads the tree and the manifest
 * and writes the report; and for the function the right to order jobs of this one operation, with this one role.
 */
export function addChecksumJobs(
  scrub: MirrorFunction,
  { name }: Pick<Configuration, "name">,
  { every, shards }: { readonly every: string; readonly shards: number },
): void {
  const stack = Stack.of(scrub);
  const { names } = scrub;
  const tree = names.bucketArn(names.treeBucket);
  const vault = names.bucketArn(names.vaultBucket);
  const role = new Role(scrub, "BatchRole", {
    roleName: batchRoleName(name, stack.region),
    // No condition: the documentation names none that S3 Batch Operations passes (Granting permissions for Batch Operations).
    assumedBy: new ServicePrincipal("batchoperations.s3.amazonaws.com"),
  });
  const allow = (actions: string[], resource: string) => {
    role.addToPolicy(new PolicyStatement({ actions, resources: [resource] }));
    Validations.of(role).acknowledge({
      id: `AwsSolutions-IAM5[Resource::${asNagPrints(stack.resolve(resource))}]`,
      reason: "Keys of one pattern in the mirror's own bucket.",
    });
  };
  allow(["s3:GetObject"], `${tree}/*`);
  // Of the manifest S3 may read the version that its ETag names: the vault is versioned.
  allow(["s3:GetObject", "s3:GetObjectVersion"], `${vault}/scrub/*/manifest-*.csv`);
  allow(["s3:PutObject"], `${vault}/scrub/*`);
  const jobs = stack.formatArn({ service: "s3", resource: "job", resourceName: "*" });
  scrub.grant(["s3:CreateJob"], ["*"], {
    conditions: { StringEquals: { "s3:RequestJobOperation": "S3ComputeObjectChecksum" } },
    reason:
      "CreateJob is about no resource (Service Authorization Reference); only this operation is allowed.",
  });
  scrub.grant(["s3:DescribeJob"], [jobs], { reason: "A job's id is known once it is made." });
  scrub.grant(["iam:PassRole"], [role.roleArn], {
    conditions: { StringEquals: { "iam:PassedToService": "batchoperations.s3.amazonaws.com" } },
  });
  for (let part = 1; part <= shards; part++)
    scheduleFunction(scrub, LOOKS, {
      name: `batch-${part}`,
      input: { level: "batch", every, shard: `${part}/${shards}` },
    });
}
