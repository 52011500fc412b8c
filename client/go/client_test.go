package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"cloneservice.example/client"
	pb "cloneservice.example/client/gen/cloneservice/v1"
)

func purchase(customer, account string, amount int64) *pb.CloneAndChargeRequest {
	return &pb.CloneAndChargeRequest{
		RequestId:          uuid.NewString(),
		PlatformCustomerId: dev.Customers[customer],
		ConnectedAccountId: dev.Accounts[account],
		Charge: &pb.ChargeOptions{
			Amount:         &pb.Money{MinorUnits: amount, CurrencyCode: "USD"},
			ApplicationFee: &pb.Money{MinorUnits: amount / 10, CurrencyCode: "USD"},
		},
	}
}

func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

func TestCloneAndCharge(t *testing.T) {
	done, err := dev.service.CloneAndCharge(within(t, 20*time.Second), purchase("pays", "bakery", 1999))
	if err != nil {
		t.Fatal(err)
	}
	charge := done.GetCharge()
	if charge.GetState() != pb.Charge_STATE_SUCCEEDED || charge.GetAmountReceived().GetMinorUnits() != 1999 {
		t.Errorf("got %v", charge)
	}
	if done.GetClone().GetState() != pb.Clone_STATE_ATTACHED {
		t.Errorf("the clone is %v", done.GetClone().GetState())
	}
}

func TestInt64(t *testing.T) {
	const beyondDoubles = 9007199254740993 // 2^53 + 1
	encoded, err := proto.Marshal(&pb.Money{MinorUnits: beyondDoubles, CurrencyCode: "JPY"})
	if err != nil {
		t.Fatal(err)
	}
	var money pb.Money
	if err := proto.Unmarshal(encoded, &money); err != nil || money.GetMinorUnits() != beyondDoubles {
		t.Errorf("got %v, %v", &money, err)
	}
}

// The caller stops waiting, the service does not stop working: the same request_id brings the answer.
func TestDeadline(t *testing.T) {
	dev.confirmations(t, "latency", 1, 2.5)
	request := purchase("pays", "bakery", 2100)
	if _, err := dev.service.CloneAndCharge(within(t, 1500*time.Millisecond), request); status.Code(err) != codes.DeadlineExceeded {
		t.Fatalf("expected DeadlineExceeded, got %v", err)
	}
	done, err := dev.service.CloneAndCharge(within(t, 20*time.Second), request)
	if err != nil || done.GetCharge().GetState() != pb.Charge_STATE_SUCCEEDED {
		t.Fatalf("got %v, %v", done, err)
	}
	if count := dev.charged(t, dev.Accounts["bakery"], 2100); count != 1 {
		t.Errorf("charged %d times", count)
	}
}

// Stripe loses so many answers that the service gives up with UNAVAILABLE; the service config asks again.
func TestRetries(t *testing.T) {
	dev.confirmations(t, "commit_then_drop", 4, 0)
	done, err := dev.service.CloneAndCharge(within(t, 20*time.Second), purchase("pays", "bakery", 2200))
	if err != nil || done.GetCharge().GetState() != pb.Charge_STATE_SUCCEEDED {
		t.Fatalf("got %v, %v", done, err)
	}
	if count := dev.charged(t, dev.Accounts["bakery"], 2200); count != 1 {
		t.Errorf("charged %d times", count)
	}
}

func TestDecline(t *testing.T) {
	_, err := dev.service.CloneAndCharge(within(t, 20*time.Second), purchase("is_declined", "bakery", 1999))
	failure, ok := client.Explain(err)
	if !ok || failure.Code != codes.FailedPrecondition || failure.Reason != "CARD_DECLINED" {
		t.Fatalf("got %+v, %v", failure, err)
	}
	decline := failure.Charge.GetDecline()
	if decline.GetCode() != "card_declined" || decline.GetDeclineCode() != "generic_decline" {
		t.Errorf("got %v", decline)
	}
	if failure.Charge.GetState() != pb.Charge_STATE_DECLINED || failure.Charge.GetChargeId() == "" {
		t.Errorf("got %v", failure.Charge)
	}
}

func TestErrorDetails(t *testing.T) {
	request := purchase("pays", "bakery", 1999)
	request.ConnectedAccountId = ""
	_, err := dev.service.CloneAndCharge(within(t, 20*time.Second), request)
	failure, ok := client.Explain(err)
	if !ok || failure.Code != codes.InvalidArgument || failure.Reason != "INVALID_REQUEST" {
		t.Fatalf("got %+v, %v", failure, err)
	}
	if failure.Fields["connected_account_id"] == "" {
		t.Errorf("got %v", failure.Fields)
	}
}
