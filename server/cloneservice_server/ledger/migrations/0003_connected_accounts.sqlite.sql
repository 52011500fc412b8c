CREATE TABLE connected_account (
    connected_account_id text PRIMARY KEY NOT NULL,
    body text NOT NULL
);
