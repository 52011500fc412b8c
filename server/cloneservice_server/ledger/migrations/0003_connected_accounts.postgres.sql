CREATE TABLE connected_account (
    connected_account_id text COLLATE "C" PRIMARY KEY NOT NULL,
    body text COLLATE "C" NOT NULL
);
