-- Text is compared by bytes (COLLATE "C"), so that both stores page through a list in the same order.

-- A transaction is sent as one statement of many parts. A part that touched no row where one was due undoes them all:
-- raising is the only way out of a statement that has begun to write.
CREATE FUNCTION cloneservice_expect(rows_written bigint, otherwise text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF rows_written = 0 THEN
        RAISE EXCEPTION USING ERRCODE = otherwise, MESSAGE = 'the guard of a conditional write did not hold';
    END IF;
    RETURN true;
END
$$;

CREATE TABLE request (
    request_id text COLLATE "C" PRIMARY KEY NOT NULL,
    method text COLLATE "C" NOT NULL,
    request_hash text COLLATE "C" NOT NULL,
    command text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    fence bigint NOT NULL,
    owner text COLLATE "C" NOT NULL DEFAULT '',
    lease_until_us bigint NOT NULL DEFAULT 0,
    caller text COLLATE "C" NOT NULL DEFAULT '',
    result text COLLATE "C" NOT NULL DEFAULT '',
    error text COLLATE "C" NOT NULL DEFAULT '',
    clone_id text COLLATE "C" NOT NULL DEFAULT '',
    charge_id text COLLATE "C" NOT NULL DEFAULT '',
    batch_id text COLLATE "C" NOT NULL DEFAULT '',
    attempts bigint NOT NULL DEFAULT 1,
    create_time_us bigint NOT NULL,
    update_time_us bigint NOT NULL,
    retry_time_us bigint NOT NULL DEFAULT 0,
    last_write text COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX request_leased ON request (lease_until_us) WHERE state = 'running';
CREATE INDEX request_indeterminate ON request (retry_time_us) WHERE state = 'indeterminate';
CREATE INDEX request_finished ON request (update_time_us) WHERE state IN ('succeeded', 'failed');

CREATE TABLE effect (
    effect_id text COLLATE "C" PRIMARY KEY NOT NULL,
    kind text COLLATE "C" NOT NULL,
    epoch bigint NOT NULL,
    state text COLLATE "C" NOT NULL,
    call text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    stripe_id text COLLATE "C" NOT NULL DEFAULT '',
    result text COLLATE "C" NOT NULL DEFAULT '{}',
    error text COLLATE "C" NOT NULL DEFAULT '',
    intent_time_us bigint NOT NULL,
    settle_time_us bigint NOT NULL DEFAULT 0
);
CREATE INDEX effect_of_request ON effect (request_id);
CREATE INDEX effect_unsettled ON effect (intent_time_us) WHERE state = 'intent';

CREATE TABLE clone (
    clone_id text COLLATE "C" PRIMARY KEY NOT NULL,
    platform_customer_id text COLLATE "C" NOT NULL,
    platform_payment_method_id text COLLATE "C" NOT NULL,
    connected_account_id text COLLATE "C" NOT NULL,
    flow text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    reusable boolean NOT NULL,
    version bigint NOT NULL,
    create_time_us bigint NOT NULL,
    body text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX clone_reusable ON clone (connected_account_id, platform_payment_method_id, flow) WHERE reusable;
CREATE INDEX clone_by_time ON clone (create_time_us DESC, clone_id DESC);
CREATE INDEX clone_of_customer ON clone (platform_customer_id, create_time_us DESC, clone_id DESC);
CREATE INDEX clone_of_payment_method ON clone (platform_payment_method_id, create_time_us DESC, clone_id DESC);
CREATE INDEX clone_on_account ON clone (connected_account_id, create_time_us DESC, clone_id DESC);

CREATE TABLE charge (
    charge_id text COLLATE "C" PRIMARY KEY NOT NULL,
    clone_id text COLLATE "C" NOT NULL,
    platform_customer_id text COLLATE "C" NOT NULL,
    connected_account_id text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    stripe_payment_intent_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    create_time_us bigint NOT NULL,
    body text COLLATE "C" NOT NULL
);
CREATE INDEX charge_by_time ON charge (create_time_us DESC, charge_id DESC);
CREATE INDEX charge_of_customer ON charge (platform_customer_id, create_time_us DESC, charge_id DESC);
CREATE INDEX charge_of_clone ON charge (clone_id, create_time_us DESC, charge_id DESC);
CREATE INDEX charge_on_account ON charge (connected_account_id, create_time_us DESC, charge_id DESC);
CREATE INDEX charge_of_payment_intent ON charge (stripe_payment_intent_id) WHERE stripe_payment_intent_id <> '';

CREATE TABLE platform_customer (
    platform_customer_id text COLLATE "C" PRIMARY KEY NOT NULL,
    external_reference text COLLATE "C" NOT NULL,
    body text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX platform_customer_reference ON platform_customer (external_reference) WHERE external_reference <> '';

CREATE TABLE connected_customer (
    connected_account_id text COLLATE "C" NOT NULL,
    platform_customer_id text COLLATE "C" NOT NULL,
    connected_customer_id text COLLATE "C" NOT NULL,
    body text COLLATE "C" NOT NULL,
    PRIMARY KEY (connected_account_id, platform_customer_id)
);
CREATE INDEX connected_customer_of_platform ON connected_customer (platform_customer_id);

CREATE TABLE meta (
    name text COLLATE "C" PRIMARY KEY NOT NULL,
    value text COLLATE "C" NOT NULL
);
