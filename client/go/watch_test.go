package client_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"cloneservice.example/client"
	pb "cloneservice.example/client/gen/cloneservice/v1"
)

// The connection breaks in the middle of a batch and the watch goes on: no event is missing and none comes twice.
func TestWatchResumed(t *testing.T) {
	service, breakConnections := breakable(t)
	batch := createBatch(t, service)
	var sequences []int64
	items := map[int32]pb.CloneBatchItem_State{}
	var last *pb.CloneBatch
	for event, err := range client.WatchBatch(within(t, 60*time.Second), service, batch.GetBatchId(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		last = event.GetBatch()
		if item := event.GetItem(); item != nil {
			items[item.GetIndex()] = item.GetState()
			sequences = append(sequences, event.GetSequence())
			if len(sequences) == 1 {
				breakConnections()
			}
		}
	}
	for i := 1; i < len(sequences); i++ {
		if sequences[i] <= sequences[i-1] {
			t.Errorf("events out of order or twice: %v", sequences)
		}
	}
	if last.GetState() != pb.CloneBatch_STATE_SUCCEEDED || len(items) != int(batch.GetTotalCount()) {
		t.Errorf("ended with %v and %d items of %d", last, len(items), batch.GetTotalCount())
	}
	for index, state := range items {
		if state != pb.CloneBatchItem_STATE_SUCCEEDED {
			t.Errorf("item %d is %v", index, state)
		}
	}
}

func createBatch(t *testing.T, service pb.CloneServiceClient) *pb.CloneBatch {
	t.Helper()
	slowly := map[string]any{
		"match": map[string]string{"method": "POST", "path": "/v1/payment_methods"},
		"act":   "latency", "latency": 0.2, "times": 6,
	}
	dev.stripe(t, http.MethodPost, "/_fake/faults", "", slowly)
	var customers, accounts []string
	for _, customer := range dev.Customers {
		customers = append(customers, customer)
	}
	for _, account := range dev.Accounts {
		accounts = append(accounts, account)
	}
	created, err := service.CreateCloneBatch(within(t, 20*time.Second), &pb.CreateCloneBatchRequest{
		RequestId: uuid.NewString(),
		Operation: pb.CloneBatch_OPERATION_CLONE,
		Selection: &pb.CreateCloneBatchRequest_CrossProduct{
			CrossProduct: &pb.CloneBatchCrossProduct{PlatformCustomerIds: customers, ConnectedAccountIds: accounts},
		},
		MaxConcurrency: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return created.GetBatch()
}

// breakable is a client of its own, and what closes its connections.
func breakable(t *testing.T) (pb.CloneServiceClient, func()) {
	t.Helper()
	var lock sync.Mutex
	var open []net.Conn
	dialer := func(ctx context.Context, address string) (net.Conn, error) {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			lock.Lock()
			open = append(open, connection)
			lock.Unlock()
		}
		return connection, err
	}
	service, connection, err := client.Dial(
		dev.Target, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(dialer),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return service, func() {
		lock.Lock()
		defer lock.Unlock()
		for _, connection := range open {
			connection.Close()
		}
	}
}
