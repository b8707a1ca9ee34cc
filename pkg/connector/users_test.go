package connector

import (
	"slices"
	"testing"

	rs "github.com/conductorone/baton-sdk/pkg/types/resource"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

// C1 matches a person's accounts by the employee number.
func TestAnEmployeeNumberReachesC1(t *testing.T) {
	for number, want := range map[string][]string{"7": {"7"}, " ": nil, "": nil} {
		resource, err := userResource(&directory.User{ID: "1", DisplayName: "Ann Lee", EmployeeID: number})
		if err != nil {
			t.Fatal(err)
		}
		trait, err := rs.GetUserTrait(resource)
		if err != nil || !slices.Equal(trait.GetEmployeeIds(), want) {
			t.Errorf("%q: %v, %v", number, trait.GetEmployeeIds(), err)
		}
	}
}
