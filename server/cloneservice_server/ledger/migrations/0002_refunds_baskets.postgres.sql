CREATE TABLE refund (
    refund_id text COLLATE "C" PRIMARY KEY NOT NULL,
    charge_id text COLLATE "C" NOT NULL,
    connected_account_id text COLLATE "C" NOT NULL,
    stripe_refund_id text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    create_time_us bigint NOT NULL,
    body text COLLATE "C" NOT NULL
);
CREATE INDEX refund_of_charge ON refund (charge_id, create_time_us DESC, refund_id DESC);
CREATE INDEX refund_by_stripe_id ON refund (stripe_refund_id);

CREATE TABLE basket (
    basket_id text COLLATE "C" PRIMARY KEY NOT NULL,
    platform_customer_id text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    create_time_us bigint NOT NULL,
    body text COLLATE "C" NOT NULL
);
CREATE INDEX basket_of_customer ON basket (platform_customer_id);
