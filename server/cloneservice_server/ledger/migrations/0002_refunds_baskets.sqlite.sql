CREATE TABLE refund (
    refund_id text PRIMARY KEY NOT NULL,
    charge_id text NOT NULL,
    connected_account_id text NOT NULL,
    stripe_refund_id text NOT NULL,
    state text NOT NULL,
    request_id text NOT NULL,
    version bigint NOT NULL,
    create_time_us bigint NOT NULL,
    body text NOT NULL
);
CREATE INDEX refund_of_charge ON refund (charge_id, create_time_us DESC, refund_id DESC);
CREATE INDEX refund_by_stripe_id ON refund (stripe_refund_id);

CREATE TABLE basket (
    basket_id text PRIMARY KEY NOT NULL,
    platform_customer_id text NOT NULL,
    state text NOT NULL,
    request_id text NOT NULL,
    version bigint NOT NULL,
    create_time_us bigint NOT NULL,
    body text NOT NULL
);
CREATE INDEX basket_of_customer ON basket (platform_customer_id);
