// The retry policy that all languages share: protos/service_config.json, put beside the generated code.
import { readFileSync } from 'node:fs';

export const serviceConfigJson = readFileSync(new URL('../../gen/service_config.json', import.meta.url), 'utf8');

export interface RetryPolicy {
  maxAttempts: number;
  initialBackoff: string;
  maxBackoff: string;
  backoffMultiplier: number;
  retryableStatusCodes: string[];
}

interface MethodConfig {
  name: { service: string; method?: string }[];
  timeout?: string;
  retryPolicy?: RetryPolicy;
}

const methods: MethodConfig[] = JSON.parse(serviceConfigJson).methodConfig;

function configOf(method: string): MethodConfig | undefined {
  return (
    methods.find(({ name }) => name.some((entry) => entry.method === method)) ??
    methods.find(({ name }) => name.some((entry) => entry.method === undefined))
  );
}

/** How a method may be repeated; undefined for one that must not be. */
export function retryPolicyOf(method: string): RetryPolicy | undefined {
  return configOf(method)?.retryPolicy;
}

export const seconds = (text: string): number => Number(text.replace(/s$/, ''));

/** Milliseconds to wait after try `attempt` (from 1): exponential, with gRPC's jitter of a fifth. */
export function backoffMs(policy: RetryPolicy, attempt: number): number {
  const longest = seconds(policy.initialBackoff) * policy.backoffMultiplier ** (attempt - 1);
  return Math.min(longest, seconds(policy.maxBackoff)) * 1000 * (0.8 + 0.4 * Math.random());
}
