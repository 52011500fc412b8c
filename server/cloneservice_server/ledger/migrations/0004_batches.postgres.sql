-- Columns go from long-lived and wide to narrow; a million items share one number in place of their batch's id.

CREATE TABLE batch (
    batch_id text COLLATE "C" PRIMARY KEY NOT NULL,
    batch_no bigint NOT NULL,
    plan text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    caller text COLLATE "C" NOT NULL DEFAULT '',
    total_count bigint NOT NULL DEFAULT 0,
    succeeded_count bigint NOT NULL DEFAULT 0,
    failed_count bigint NOT NULL DEFAULT 0,
    skipped_count bigint NOT NULL DEFAULT 0,
    reused_count bigint NOT NULL DEFAULT 0,
    last_sequence bigint NOT NULL DEFAULT 0,
    next_index bigint NOT NULL DEFAULT 0,
    next_chunk bigint NOT NULL DEFAULT 0,
    chunk_offset bigint NOT NULL DEFAULT 0,
    create_time_us bigint NOT NULL,
    start_time_us bigint NOT NULL DEFAULT 0,
    end_time_us bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX batch_number ON batch (batch_no);
CREATE INDEX batch_by_time ON batch (create_time_us DESC, batch_id DESC);
CREATE INDEX batch_active ON batch (create_time_us) WHERE state IN ('pending', 'running', 'canceling');

-- What was asked for, as it came; a chunk is deleted once its items are laid out.
CREATE TABLE batch_chunk (
    batch_no bigint NOT NULL,
    chunk bigint NOT NULL,
    body text COLLATE "C" NOT NULL,
    PRIMARY KEY (batch_no, chunk)
);

CREATE TABLE batch_item (
    batch_no bigint NOT NULL,
    item_index bigint NOT NULL,
    connected_account_id text COLLATE "C" NOT NULL,
    platform_customer_id text COLLATE "C" NOT NULL,
    platform_payment_method_id text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL DEFAULT 'pending',
    attempts bigint NOT NULL DEFAULT 0,
    sequence bigint NOT NULL DEFAULT 0,
    clone_id text COLLATE "C" NOT NULL DEFAULT '',
    reason text COLLATE "C" NOT NULL DEFAULT '',
    error text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (batch_no, item_index)
);
CREATE INDEX batch_item_of_partition ON batch_item (batch_no, connected_account_id, item_index);
CREATE INDEX batch_item_event ON batch_item (batch_no, sequence) WHERE sequence > 0;
CREATE INDEX batch_item_failed ON batch_item (batch_no, item_index) WHERE state = 'failed';

CREATE TABLE batch_partition (
    batch_no bigint NOT NULL,
    connected_account_id text COLLATE "C" NOT NULL,
    rank bigint NOT NULL,
    state text COLLATE "C" NOT NULL DEFAULT 'open',
    fence bigint NOT NULL DEFAULT 0,
    owner text COLLATE "C" NOT NULL DEFAULT '',
    lease_until_us bigint NOT NULL DEFAULT 0,
    cursor_index bigint NOT NULL DEFAULT -1,
    last_write text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (batch_no, connected_account_id)
);

-- Who calls Stripe with the platform's key, and how much: what the limits are shared by.
CREATE TABLE rate_share (
    budget text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    wanting boolean NOT NULL,
    foreground_per_s double precision NOT NULL,
    join_time_us bigint NOT NULL,
    lease_until_us bigint NOT NULL,
    PRIMARY KEY (budget, owner)
);
