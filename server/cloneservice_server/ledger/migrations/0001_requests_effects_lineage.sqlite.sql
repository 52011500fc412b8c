CREATE TABLE request (
    request_id text PRIMARY KEY NOT NULL,
    method text NOT NULL,
    request_hash text NOT NULL,
    command text NOT NULL,
    state text NOT NULL,
    fence bigint NOT NULL,
    owner text NOT NULL DEFAULT '',
    lease_until_us bigint NOT NULL DEFAULT 0,
    caller text NOT NULL DEFAULT '',
    result text NOT NULL DEFAULT '',
    error text NOT NULL DEFAULT '',
    clone_id text NOT NULL DEFAULT '',
    charge_id text NOT NULL DEFAULT '',
    batch_id text NOT NULL DEFAULT '',
    attempts bigint NOT NULL DEFAULT 1,
    create_time_us bigint NOT NULL,
    update_time_us bigint NOT NULL,
    retry_time_us bigint NOT NULL DEFAULT 0,
    last_write text NOT NULL DEFAULT ''
);
CREATE INDEX request_leased ON request (lease_until_us) WHERE state = 'running';
CREATE INDEX request_indeterminate ON request (retry_time_us) WHERE state = 'indeterminate';
CREATE INDEX request_finished ON request (update_time_us) WHERE state IN ('succeeded', 'failed');

CREATE TABLE effect (
    effect_id text PRIMARY KEY NOT NULL,
    kind text NOT NULL,
    epoch bigint NOT NULL,
    state text NOT NULL,
    call text NOT NULL,
    request_id text NOT NULL,
    stripe_id text NOT NULL DEFAULT '',
    result text NOT NULL DEFAULT '{}',
    error text NOT NULL DEFAULT '',
    intent_time_us bigint NOT NULL,
    settle_time_us bigint NOT NULL DEFAULT 0
);
CREATE INDEX effect_of_request ON effect (request_id);
CREATE INDEX effect_unsettled ON effect (intent_time_us) WHERE state = 'intent';

CREATE TABLE clone (
    clone_id text PRIMARY KEY NOT NULL,
    platform_customer_id text NOT NULL,
    platform_payment_method_id text NOT NULL,
    connected_account_id text NOT NULL,
    flow text NOT NULL,
    state text NOT NULL,
    reusable boolean NOT NULL,
    version bigint NOT NULL,
    create_time_us bigint NOT NULL,
    body text NOT NULL
);
CREATE UNIQUE INDEX clone_reusable ON clone (connected_account_id, platform_payment_method_id, flow) WHERE reusable;
CREATE INDEX clone_by_time ON clone (create_time_us DESC, clone_id DESC);
CREATE INDEX clone_of_customer ON clone (platform_customer_id, create_time_us DESC, clone_id DESC);
CREATE INDEX clone_of_payment_method ON clone (platform_payment_method_id, create_time_us DESC, clone_id DESC);
CREATE INDEX clone_on_account ON clone (connected_account_id, create_time_us DESC, clone_id DESC);

CREATE TABLE charge (
    charge_id text PRIMARY KEY NOT NULL,
    clone_id text NOT NULL,
    platform_customer_id text NOT NULL,
    connected_account_id text NOT NULL,
    state text NOT NULL,
    request_id text NOT NULL,
    stripe_payment_intent_id text NOT NULL,
    version bigint NOT NULL,
    create_time_us bigint NOT NULL,
    body text NOT NULL
);
CREATE INDEX charge_by_time ON charge (create_time_us DESC, charge_id DESC);
CREATE INDEX charge_of_customer ON charge (platform_customer_id, create_time_us DESC, charge_id DESC);
CREATE INDEX charge_of_clone ON charge (clone_id, create_time_us DESC, charge_id DESC);
CREATE INDEX charge_on_account ON charge (connected_account_id, create_time_us DESC, charge_id DESC);
CREATE INDEX charge_of_payment_intent ON charge (stripe_payment_intent_id) WHERE stripe_payment_intent_id <> '';

CREATE TABLE platform_customer (
    platform_customer_id text PRIMARY KEY NOT NULL,
    external_reference text NOT NULL,
    body text NOT NULL
);
CREATE UNIQUE INDEX platform_customer_reference ON platform_customer (external_reference) WHERE external_reference <> '';

CREATE TABLE connected_customer (
    connected_account_id text NOT NULL,
    platform_customer_id text NOT NULL,
    connected_customer_id text NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (connected_account_id, platform_customer_id)
);
CREATE INDEX connected_customer_of_platform ON connected_customer (platform_customer_id);

CREATE TABLE meta (
    name text PRIMARY KEY NOT NULL,
    value text NOT NULL
);
